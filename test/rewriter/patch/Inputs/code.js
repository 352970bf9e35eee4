// SPDX-License-Identifier: BSD-3-Clause
{
const   table=new Map( [["one",1],['two' , 2]] )
function  lookUp(  name , otherwise=0 ){ return table.has(name)?table.get(name):otherwise }
class Counter{ #n=0 ; next( ){return this.#n++} get value(){ return this.#n } static from( k ){const c=new Counter( );while(k-->0)c.next();return c} }
const text=`sum: ${ [1,2,3].map( (x)=>x*x ).reduce((a,b)=>a+b , 0) }`
if(lookUp("two")===2&&text.length>3){ console.log( text ,Counter.from( 3 ).value ) }else{ throw new Error('no') }
}
